"""Units, users and containers as both sides deploy them, and the one way in which ``service`` writes them.

shipped   what lies beside this file, and what of it a side installs
fill      a shipped file with this machine's paths, addresses and words
sealed    a first line by which a file is known as written here, and unchanged since
plan      what would be written, and where a person's change stands in the way
systemd   systemd's own programs, as far as they are called
service   install, status and remove, from start to end
words     what may be typed after ``service``
health    whether something answers at a socket or port, for containers
"""
