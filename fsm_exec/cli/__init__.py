"""The commands, a folder a family; `main` maps names to modules and turns errors into a line and an exit code.

Each floor uses only those below it:

    main                    the group of all commands; what fails becomes a line and an exit code
    demo                    `demo`, `demo --crash`
    daemon, lab, doctor, diagrams   `serve` and its clients; experiments; the installation; the state machines drawn
    database, exchange      commands on a database; the paper exchange, recordings
    config, log_file, end_signals   the configuration file; a log beside the database; signals that end a command
    console, logs           tables, as they are printed; how a log is kept and read
    output                  lines and documents, as they are printed
    command_list            where each command is, and its sentence in the list
    exit_codes
"""
