complete --keep-order --exclusive --command bsql --arguments "(COMPLETE=fish bsql -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
