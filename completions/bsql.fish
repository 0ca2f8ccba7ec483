# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bsql_global_optspecs
    string join \n profile= store= q/quiet v/verbose no-input color= log-file= h/help V/version
end

function __fish_bsql_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bsql_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bsql_using_subcommand
    set -l cmd (__fish_bsql_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bsql -n "__fish_bsql_needs_command" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_needs_command" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_needs_command" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_needs_command" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_needs_command" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_needs_command" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_needs_command" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_needs_command" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_needs_command" -s V -l version -d 'Print version'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "login" -d 'Sign in'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "logout" -d 'Sign out: revoke the tokens at the provider and forget them'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "whoami" -d 'Say who you are: to the provider, the catalog, Google and the databases'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "ls" -d 'List the databases that you or your teams own'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "show" -d 'Show everything known of one database'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "connect" -d 'Open a prompt on a database, as yourself'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "query" -d 'Run SQL and print the rows; read-only unless --write'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "audit" -d 'Look at the log of every access from this machine'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "init" -d 'Set up your company\'s profile, from Backstage or wherever it is published'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "profile" -d 'Choose, see and remove profiles'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "config" -d 'See and check settings'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c bsql -n "__fish_bsql_needs_command" -f -a "sandbox" -d 'Try bsql without any account: a whole company on this machine'
complete -c bsql -n "__fish_bsql_using_subcommand login" -l flow -d 'How: auto, browser, device (a code on any device), or paste (the address back)' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l listen -d 'Where to listen for the browser\'s answer; the first free one of several' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l timeout -d 'How long to wait, for example 3m' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l prompt -d 'Passed to the provider: `login`, `consent`, `select_account` or `none`' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l acr -d 'Ask for this authentication context class' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l max-age -d 'Ask for a sign-in that is at most this many seconds old' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l login-hint -d 'Tell the provider who you are' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand login" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand login" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand login" -l no-browser -d 'Do not open a browser; print the address'
complete -c bsql -n "__fish_bsql_using_subcommand login" -l force -d 'Sign in even when signed in'
complete -c bsql -n "__fish_bsql_using_subcommand login" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand login" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand login" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand login" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l all -d 'Of every profile'
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l browser -d 'Also end the provider\'s own session, in the browser'
complete -c bsql -n "__fish_bsql_using_subcommand logout" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand logout" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand logout" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand logout" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -s o -l output -d 'How to write it' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand whoami" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l owner -d 'Those of this group or user, for example group:default/payments' -r
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l env -d 'Those of one environment' -r
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l system -d 'Those of one system' -r
complete -c bsql -n "__fish_bsql_using_subcommand ls" -s o -l output -d 'How to write them' -r -f -a "table\t'For people'
wide\t'For people with wide terminals'
json\t'For programs'
csv\t'For spreadsheets'
name\t'One name a line'"
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l all -d 'Every database that you may see'
complete -c bsql -n "__fish_bsql_using_subcommand ls" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand ls" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand ls" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand show" -s o -l output -d 'How to write it' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c bsql -n "__fish_bsql_using_subcommand show" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand show" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand show" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand show" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand show" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand show" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand show" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand connect" -s d -l database -d 'The database, if not the one in the catalog' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -s u -l user -d 'The database user, if not yourself' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l client -d 'The program to start, by name or path' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l reason -d 'Why; kept in the audit log' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -s c -l command -d 'Run this SQL and print the rows; needs no client program' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l read-only -d 'Ask the server for read-only transactions'
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l dry-run -d 'Say what would be reached and stop'
complete -c bsql -n "__fish_bsql_using_subcommand connect" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand connect" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand connect" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand connect" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand query" -s f -l file -d 'Read the SQL from a file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand query" -s o -l output -d 'How to write the rows' -r -f -a "table\t'For people'
csv\t'For spreadsheets'
json\t'One array of objects'
jsonl\t'An object a line'"
complete -c bsql -n "__fish_bsql_using_subcommand query" -l timeout -d 'Let the server end a statement that takes longer, for example 30s or 5m' -r
complete -c bsql -n "__fish_bsql_using_subcommand query" -s d -l database -d 'The database, if not the one in the catalog' -r
complete -c bsql -n "__fish_bsql_using_subcommand query" -s u -l user -d 'The database user, if not yourself' -r
complete -c bsql -n "__fish_bsql_using_subcommand query" -l reason -d 'Why; kept in the audit log' -r
complete -c bsql -n "__fish_bsql_using_subcommand query" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand query" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand query" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand query" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand query" -l write -d 'Allow writing'
complete -c bsql -n "__fish_bsql_using_subcommand query" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand query" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand query" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand query" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -f -a "list" -d 'List accesses, newest last'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and not __fish_seen_subcommand_from list verify" -f -a "verify" -d 'Check that no line was changed or removed'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -l limit -d 'At most this many, the newest' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -s o -l output -d 'How to write them' -r -f -a "table\t'For people'
wide\t'For people with wide terminals'
json\t'For programs'
csv\t'For spreadsheets'
name\t'One name a line'"
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -s o -l output -d 'How to write the answer' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand init" -l name -d 'Call the profile this' -r
complete -c bsql -n "__fish_bsql_using_subcommand init" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand init" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand init" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand init" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand init" -s y -l yes -d 'Do not ask whether to save it'
complete -c bsql -n "__fish_bsql_using_subcommand init" -l replace -d 'Replace a profile of the same name'
complete -c bsql -n "__fish_bsql_using_subcommand init" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand init" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand init" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand init" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -f -a "ls" -d 'List the profiles'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -f -a "use" -d 'Use a profile from now on'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -f -a "show" -d 'Print what a profile says, and where each value comes from'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -f -a "rm" -d 'Remove a profile from your settings'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and not __fish_seen_subcommand_from ls use show rm path" -f -a "path" -d 'Print the path of your settings'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -s o -l output -d 'How to write them' -r -f -a "table\t'For people'
wide\t'For people with wide terminals'
json\t'For programs'
csv\t'For spreadsheets'
name\t'One name a line'"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from use" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -s y -l yes -d 'Do not ask'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand profile; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -f -a "get" -d 'Print what a setting is'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -f -a "validate" -d 'Check the settings of all profiles'
complete -c bsql -n "__fish_bsql_using_subcommand config; and not __fish_seen_subcommand_from get validate path" -f -a "path" -d 'Print the path of your settings'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -l show-origin -d 'Also print where it was set'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from validate" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand completions" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand completions" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand completions" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand completions" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand completions" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand completions" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand completions" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand completions" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -f -a "up" -d 'Start the sandbox and write the profile `sandbox`'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -f -a "down" -d 'End the sandbox and remove its profile'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -f -a "status" -d 'Say what runs: the engine, the addresses, the people'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -f -a "run" -d 'Run a command in a sandbox of its own, with settings of its own, and end the sandbox with it'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and not __fish_seen_subcommand_from up down status run demo" -f -a "demo" -d 'Show the whole idea: sign in, list, look, connect, and what was recorded'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l auto-approve -d 'Sign USER in without asking, for scripts [default user: ada]' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l engine -d 'The PostgreSQL behind the instances' -r -f -a "auto\t'The installed one, else the embedded one'
system\t'The one that is installed on this machine'
embedded\t'The one inside bsql (cargo feature `embedded-postgres`)'"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l token-life -d 'How long tokens live, in seconds' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s d -l detach -d 'Leave it running in the background'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l backstage-sign-in -d 'Give Backstage a sign-in of its own, which `bsql login` then asks for as well'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l in-background -d 'This is the background process: say on stdout when it is ready'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s h -l help -d 'Print help'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s o -l output -d 'How to write it' -r -f -a "text\t'For people'
json\t'For programs'"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l auto-approve -d 'Sign USER in without asking' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l engine -d 'The PostgreSQL behind the instances' -r -f -a "auto\t'The installed one, else the embedded one'
system\t'The one that is installed on this machine'
embedded\t'The one inside bsql (cargo feature `embedded-postgres`)'"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l backstage-sign-in -d 'Give Backstage a sign-in of its own, which `bsql login` then asks for as well'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -l engine -d 'The PostgreSQL behind the instances' -r -f -a "auto\t'The installed one, else the embedded one'
system\t'The one that is installed on this machine'
embedded\t'The one inside bsql (cargo feature `embedded-postgres`)'"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -l profile -d 'The profile to use' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -l store -d 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory' -r
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -l color -d 'Colour what is for people' -r -f -a "auto\t''
always\t''
never\t''"
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -l log-file -d 'Also write the log, as JSON lines, to this file' -r -F
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -s q -l quiet -d 'Say only what went wrong'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -s v -l verbose -d 'Say more; twice for every request'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -l no-input -d 'Never ask and never open a browser'
complete -c bsql -n "__fish_bsql_using_subcommand sandbox; and __fish_seen_subcommand_from demo" -s h -l help -d 'Print help (see more with \'--help\')'
