"""`fsm-exec demo` and `demo --crash`.

demo              the command
run               the run in this process
crash             the run whose engine is killed twice: crash_engine is its process, crash_screen shows it,
                  crash_audit compares the database with the exchange
plan, options     which executions start when; options as numbers
screen, results   what is shown while it runs, and at its end; totals has the methods, picture an episode drawn
live_page         the page of a daemon over the demo's engine
database          a new file, or one of an earlier demo
"""
