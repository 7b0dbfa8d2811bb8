"""`python -m diem_operator`."""

from diem_operator.cli import main

if __name__ == "__main__":
    main()
