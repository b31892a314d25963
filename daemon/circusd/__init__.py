"""The process and socket manager: its daemon, its client and its command-line programs."""
