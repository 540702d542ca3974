"""`python -m lstm_lrp_cli` is the same as `lrp`."""

from lstm_lrp_cli.cli import main

if __name__ == "__main__":
    main(prog_name="lrp")
