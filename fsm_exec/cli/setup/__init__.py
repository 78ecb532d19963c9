"""`fsm-exec init`: from nothing to a configuration that `fsm-exec doctor` finds sound, and to a supervised daemon.

init            the command: what is asked, in which order what is made, what comes next
answers         what is asked of whoever sets up, each with an option that answers it
config_text     the configuration file, every setting with what holds without it
setting_words   what each setting is, in words
paper_exchange  a paper exchange of one's own, for as long as it is needed to set up
private_files   new files that nobody else may read
systemd         the units
"""
