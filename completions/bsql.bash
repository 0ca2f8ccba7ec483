_bsql() {
    local line="${COMP_LINE:0:COMP_POINT}" word="" words=() index=0 at=0 part rest answer
    # The words as they were typed: parts that touch each other belong together.
    rest="$line"
    for part in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        [[ -n "$part" ]] || continue
        if [[ "$rest" == [[:space:]]* ]]; then
            [[ -n "$word" ]] && words+=("$word")
            word=""
            rest="${rest#"${rest%%[![:space:]]*}"}"
        fi
        # The cursor may be within the last one.
        part="${part:0:${#rest}}"
        word+="$part"
        rest="${rest#"$part"}"
    done
    if [[ "$rest" == [[:space:]]* ]]; then
        [[ -n "$word" ]] && words+=("$word")
        word=""
    fi
    words+=("$word")
    index=$(( ${#words[@]} - 1 ))
    COMPREPLY=()
    # What Bash will replace is only what is behind the last of its ends of words.
    local keep="" breaks="${COMP_WORDBREAKS//[^:@=]/}"
    if [[ -n "$breaks" && "$word" == *["$breaks"]* ]]; then
        keep="${word%"${word##*["$breaks"]}"}"
    fi
    while IFS= read -r answer || [[ -n "$answer" ]]; do
        [[ "$answer" == "$keep"* ]] && COMPREPLY+=("${answer#"$keep"}")
    done < <(COMPLETE=bash _CLAP_IFS=$'\n' _CLAP_COMPLETE_INDEX="$index" bsql -- "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -ne 1 || "${COMPREPLY[0]}" != *[=:/] ]]; then
        compopt +o nospace 2>/dev/null
    fi
}
complete -o nospace -o bashdefault -F _bsql bsql
