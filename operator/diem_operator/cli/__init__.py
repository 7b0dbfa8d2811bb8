"""The command line, and the composition of both processes: what a flag means, and which parts are put together."""

import click

from diem_operator.cli.api_command import api
from diem_operator.cli.operator_command import operator


@click.group()
@click.version_option(package_name="diem-operator")
def main() -> None:
    """Start, stop and follow Kubernetes Jobs with one HTTP call and one resource."""


main.add_command(operator)
main.add_command(api)
