"""Where metrics are served, at both sides. Imports nothing heavy."""

from wardround.protocol.command_line.parser import OneLineParser, whole_number


def metrics_at(parser: OneLineParser, port: int) -> None:
    """Add address and port. port: the default; 0 lets the system choose."""
    parser.add_argument(
        "--bind",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to listen (default: this machine alone, 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=whole_number, default=port, metavar="N", help=f"at which port (default: {port})"
    )
