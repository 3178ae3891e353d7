"""
An HTTP proxy of its own process: C{python connect_proxy.py [USER:PASSWORD]}.

It knows CONNECT alone. It prints the port it listens on, then a line for each
request: the place asked for, and the status it answered.
"""

from __future__ import annotations

import asyncio
import base64
import sys

from tests.relay import copy


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wanted: str) -> None:
    """Answer one request."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, place, _ = head.split(" ", 2)
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    status = 200 if method == "CONNECT" else 405
    if wanted and fields.get("Proxy-Authorization") != wanted:
        status = 407
    print(place, status, flush=True)
    writer.write(f"HTTP/1.1 {status} Answer\r\n\r\n".encode())
    if status != 200:
        writer.close()
        return
    port = place.rpartition(":")[2]
    # Whatever name is asked for is this machine: only the port counts.
    there, back = await asyncio.open_connection("127.0.0.1", int(port))
    await asyncio.gather(copy(reader, back), copy(there, writer))


async def main(credentials: str) -> None:
    """Serve for ever."""
    wanted = "Basic " + base64.b64encode(credentials.encode()).decode() if credentials else ""
    server = await asyncio.start_server(lambda reader, writer: serve(reader, writer, wanted), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
