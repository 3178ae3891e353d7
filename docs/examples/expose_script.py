"""A whole server in a few lines: C{python expose_script.py}."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from anp_twisted import expose

expose(Starlette(routes=[Route("/", lambda request: PlainTextResponse("from a script"))]))
