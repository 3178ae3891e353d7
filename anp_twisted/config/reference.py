"""
The reference page of the settings, made from their table: C{python -m anp_twisted.config.reference}.
"""

from __future__ import annotations

import sys
from dataclasses import MISSING

from anp_twisted.config.basics import CommonSettings
from anp_twisted.config.schema import Places, Setting, settings_of, shown
from anp_twisted.config.tables import COMMANDS

_HEAD = """\
<!-- Made by: python -m anp_twisted.config.reference > docs/reference/settings.md -->

# Settings

Each setting has one name: as an option `--tls-cert`, as an environment variable `ANP_TLS_CERT`, in a TOML file
`tls_cert` (`tls-cert` is the same). The command line goes before the environment, that before the file named by
`--config`, that before the default. A name that nothing knows is an error in each of these places, as is an option
that is only the beginning of another. The variables of one command do not disturb another.

In the file, keys at the top are for the command that reads it; `[gateway]`, `[receiver]` and `[both]` are for the
command of that name, and go before the top:

```toml
state_dir = "/var/lib/anp"

[gateway]
port = 8080

[receiver]
app = "shop:app"
path = ["/shop", "/static"]
```

The token is never an option, since every user of a machine can read the arguments of a process. A file with a token
in it must be readable by its owner only. `--token-file` and the token itself, `--listen` and `--host` or `--port`,
`--wss-listen` and `--wss-port` are two ways to say one thing: given in one place they contradict each other; from two
places, the better place counts.

| what is written | values |
|---|---|
| `SECONDS` | a number, such as `5` or `0.5` |
| `BYTES` | a whole number, or one with `KiB`, `MiB` or `GiB` |
| `PORT` | 0 to 65535, where 0 takes any free port; where a port is optional, `off` is none |
| `CIDR` | an address or a network, such as `192.0.2.1` or `2001:db8::/32` |
| `RATE` | a number of requests in a time, such as `5/s`, `100/m` or `1000/15m` |
| `TABLES` | in TOML only, such as `[gateway.routes."/api"]`: see [route options](route-options.md) |
| repeatable | the option several times; in a variable separated by blanks; in TOML a list |
| flag | the option alone; in a variable or in TOML `true` or `false` |
"""


def _row(row: Setting) -> str:
    takes = "flag" if row.kind.flag else f"`{row.kind.metavar}`"
    no_option = row.places in (Places.NOT_BY_ARGV, Places.ONLY_IN_FILE)
    name = f"`{row.name}`" if no_option else f"`--{row.option}`"
    default = "required" if row.default is MISSING else f"`{shown(row.default)}`"
    cells = (name, takes + (", repeatable" if row.kind.repeatable else ""), default, row.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _section(name: str, cls: type[CommonSettings]) -> str:
    rows = "\n".join(_row(row) for row in settings_of(cls).values())
    return f"\n## anp-{name}\n\n| setting | takes | default | meaning |\n|---|---|---|---|\n{rows}\n"


def page() -> str:
    """
    @return: the page, as Markdown.
    """
    return _HEAD + "".join(_section(name, cls) for name, cls in COMMANDS.items())


if __name__ == "__main__":
    sys.stdout.write(page())
