"""The entry point of `fsm-exec` and of `python -m fsm_exec`.

Loading the commands takes the better part of a second; Ctrl-C in it is answered as at any other time.
"""

import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    try:
        from fsm_exec.cli.main import main as commands
    except KeyboardInterrupt:
        sys.stderr.write("fsm-exec: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)
    commands()


if __name__ == "__main__":
    main()
