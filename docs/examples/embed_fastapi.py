"""
An application that makes itself public: C{uvicorn embed_fastapi:app}.

uvicorn serves it on this machine as ever; the receiver runs on uvicorn's loop and
serves it through the gateway as well.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from anp_twisted import Receiver


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """uvicorn runs this; so the receiver need not start the application once more."""
    async with Receiver(app) as receiver:
        print(receiver.url, flush=True)
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"from": "FastAPI"}
