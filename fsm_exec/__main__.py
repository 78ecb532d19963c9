"""`python -m fsm_exec` is `fsm-exec`."""

from fsm_exec.cli.main import main

if __name__ == "__main__":
    main()
