"""`stripe-sandbox`: the server as a command."""

import argparse
import sqlite3
import sys


def _port(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise argparse.ArgumentTypeError(f"{text} is not a port, 1 to 65535")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="stripe-sandbox", description="A stateful stand-in for Stripe's billing API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=_port, default=12111)
    parser.add_argument("--data", default=":memory:", metavar="FILE", help="keep everything in this SQLite file")
    parser.add_argument("--rate-limit", type=float, default=25.0, metavar="N", help="calls a second, 0 is no limit")
    parser.add_argument(
        "--retry-delay", type=float, default=1.0, metavar="SECONDS",
        help="before a webhook's second attempt; doubles after that",
    )  # fmt: skip
    parser.add_argument("--traffic", metavar="FILE", help="append each call and each event sent, one JSON line each")
    options = parser.parse_args()

    from stripe_sandbox.server import serve
    from stripe_sandbox.settings import Settings
    from stripe_sandbox.store import StoreInUse

    settings = Settings(
        data=options.data,
        rate_limit=options.rate_limit,
        retry_delay=options.retry_delay,
        traffic=options.traffic or None,
    )
    try:
        serve(settings, options.host, options.port)
    except StoreInUse as error:
        sys.exit(f"stripe-sandbox: {error}")
    except sqlite3.DatabaseError as error:
        sys.exit(f"stripe-sandbox: {options.data}: {error}")
    except OSError as error:
        sys.exit(f"stripe-sandbox: {error.filename or options.data}: {error.strerror}")


if __name__ == "__main__":
    main()
