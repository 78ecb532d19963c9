"""`fsm-exec serve` and the commands that talk to the daemon.

serve             the command; account says which exchange and whose account, daemon_process opens and closes it
submit            one execution for the daemon
status_commands   list, show, watch, status
control_commands  cancel, halt, resume
client_command    what all of them share: finding the daemon, printing
"""
