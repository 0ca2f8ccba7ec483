
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'bsql' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'bsql'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'bsql' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Sign in')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Sign out: revoke the tokens at the provider and forget them')
            [CompletionResult]::new('whoami', 'whoami', [CompletionResultType]::ParameterValue, 'Say who you are: to the provider, the catalog, Google and the databases')
            [CompletionResult]::new('ls', 'ls', [CompletionResultType]::ParameterValue, 'List the databases that you or your teams own')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show everything known of one database')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Open a prompt on a database, as yourself')
            [CompletionResult]::new('query', 'query', [CompletionResultType]::ParameterValue, 'Run SQL and print the rows; read-only unless --write')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'Look at the log of every access from this machine')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Set up your company''s profile, from Backstage or wherever it is published')
            [CompletionResult]::new('profile', 'profile', [CompletionResultType]::ParameterValue, 'Choose, see and remove profiles')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'See and check settings')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('sandbox', 'sandbox', [CompletionResultType]::ParameterValue, 'Try bsql without any account: a whole company on this machine')
            break
        }
        'bsql;login' {
            [CompletionResult]::new('--flow', '--flow', [CompletionResultType]::ParameterName, 'How: auto, browser, device (a code on any device), or paste (the address back)')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where to listen for the browser''s answer; the first free one of several')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'How long to wait, for example 3m')
            [CompletionResult]::new('--prompt', '--prompt', [CompletionResultType]::ParameterName, 'Passed to the provider: `login`, `consent`, `select_account` or `none`')
            [CompletionResult]::new('--acr', '--acr', [CompletionResultType]::ParameterName, 'Ask for this authentication context class')
            [CompletionResult]::new('--max-age', '--max-age', [CompletionResultType]::ParameterName, 'Ask for a sign-in that is at most this many seconds old')
            [CompletionResult]::new('--login-hint', '--login-hint', [CompletionResultType]::ParameterName, 'Tell the provider who you are')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--no-browser', '--no-browser', [CompletionResultType]::ParameterName, 'Do not open a browser; print the address')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Sign in even when signed in')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;logout' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Of every profile')
            [CompletionResult]::new('--browser', '--browser', [CompletionResultType]::ParameterName, 'Also end the provider''s own session, in the browser')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;whoami' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;ls' {
            [CompletionResult]::new('--owner', '--owner', [CompletionResultType]::ParameterName, 'Those of this group or user, for example group:default/payments')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Those of one environment')
            [CompletionResult]::new('--system', '--system', [CompletionResultType]::ParameterName, 'Those of one system')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write them')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write them')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Every database that you may see')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;show' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;connect' {
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'The database, if not the one in the catalog')
            [CompletionResult]::new('--database', '--database', [CompletionResultType]::ParameterName, 'The database, if not the one in the catalog')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The database user, if not yourself')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'The database user, if not yourself')
            [CompletionResult]::new('--client', '--client', [CompletionResultType]::ParameterName, 'The program to start, by name or path')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why; kept in the audit log')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Run this SQL and print the rows; needs no client program')
            [CompletionResult]::new('--command', '--command', [CompletionResultType]::ParameterName, 'Run this SQL and print the rows; needs no client program')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--read-only', '--read-only', [CompletionResultType]::ParameterName, 'Ask the server for read-only transactions')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Say what would be reached and stop')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;query' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Read the SQL from a file')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Read the SQL from a file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write the rows')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the rows')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Let the server end a statement that takes longer, for example 30s or 5m')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'The database, if not the one in the catalog')
            [CompletionResult]::new('--database', '--database', [CompletionResultType]::ParameterName, 'The database, if not the one in the catalog')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The database user, if not yourself')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'The database user, if not yourself')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why; kept in the audit log')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Allow writing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;audit' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List accesses, newest last')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check that no line was changed or removed')
            break
        }
        'bsql;audit;list' {
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most this many, the newest')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write them')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write them')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;audit;verify' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write the answer')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the answer')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;init' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Call the profile this')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Do not ask whether to save it')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask whether to save it')
            [CompletionResult]::new('--replace', '--replace', [CompletionResultType]::ParameterName, 'Replace a profile of the same name')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;profile' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('ls', 'ls', [CompletionResultType]::ParameterValue, 'List the profiles')
            [CompletionResult]::new('use', 'use', [CompletionResultType]::ParameterValue, 'Use a profile from now on')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Print what a profile says, and where each value comes from')
            [CompletionResult]::new('rm', 'rm', [CompletionResultType]::ParameterValue, 'Remove a profile from your settings')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print the path of your settings')
            break
        }
        'bsql;profile;ls' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write them')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write them')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;profile;use' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;profile;show' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;profile;rm' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;profile;path' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;config' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('get', 'get', [CompletionResultType]::ParameterValue, 'Print what a setting is')
            [CompletionResult]::new('validate', 'validate', [CompletionResultType]::ParameterValue, 'Check the settings of all profiles')
            [CompletionResult]::new('path', 'path', [CompletionResultType]::ParameterValue, 'Print the path of your settings')
            break
        }
        'bsql;config;get' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--show-origin', '--show-origin', [CompletionResultType]::ParameterName, 'Also print where it was set')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;config;validate' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;config;path' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;completions' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;sandbox' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('up', 'up', [CompletionResultType]::ParameterValue, 'Start the sandbox and write the profile `sandbox`')
            [CompletionResult]::new('down', 'down', [CompletionResultType]::ParameterValue, 'End the sandbox and remove its profile')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Say what runs: the engine, the addresses, the people')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run a command in a sandbox of its own, with settings of its own, and end the sandbox with it')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Show the whole idea: sign in, list, look, connect, and what was recorded')
            break
        }
        'bsql;sandbox;up' {
            [CompletionResult]::new('--auto-approve', '--auto-approve', [CompletionResultType]::ParameterName, 'Sign USER in without asking, for scripts [default user: ada]')
            [CompletionResult]::new('--engine', '--engine', [CompletionResultType]::ParameterName, 'The PostgreSQL behind the instances')
            [CompletionResult]::new('--token-life', '--token-life', [CompletionResultType]::ParameterName, 'How long tokens live, in seconds')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Leave it running in the background')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Leave it running in the background')
            [CompletionResult]::new('--backstage-sign-in', '--backstage-sign-in', [CompletionResultType]::ParameterName, 'Give Backstage a sign-in of its own, which `bsql login` then asks for as well')
            [CompletionResult]::new('--in-background', '--in-background', [CompletionResultType]::ParameterName, 'This is the background process: say on stdout when it is ready')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;sandbox;down' {
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'bsql;sandbox;status' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;sandbox;run' {
            [CompletionResult]::new('--auto-approve', '--auto-approve', [CompletionResultType]::ParameterName, 'Sign USER in without asking')
            [CompletionResult]::new('--engine', '--engine', [CompletionResultType]::ParameterName, 'The PostgreSQL behind the instances')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('--backstage-sign-in', '--backstage-sign-in', [CompletionResultType]::ParameterName, 'Give Backstage a sign-in of its own, which `bsql login` then asks for as well')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'bsql;sandbox;demo' {
            [CompletionResult]::new('--engine', '--engine', [CompletionResultType]::ParameterName, 'The PostgreSQL behind the instances')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'The profile to use')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Where the session is kept: auto (the keyring, else a file), keyring, file or memory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour what is for people')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Also write the log, as JSON lines, to this file')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say only what went wrong')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say more; twice for every request')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Never ask and never open a browser')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
