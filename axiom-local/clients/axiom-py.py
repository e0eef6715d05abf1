"""Sends three events by each of axiom-py's ways to a dataset named for it."""

import json
import logging
import os

from axiom_py import Client
from axiom_py.client import ContentEncoding, ContentType
from axiom_py.logging import AxiomHandler

url, token = os.environ["ENDPOINT"], os.environ["TOKEN"]
events = [
    {"_time": "2026-01-01T00:00:00.000000000Z", "n": n, "nested": {"deep": "x"}}
    for n in (1, 2, 3)
]

client = Client(token=token, url=url)
print("gzip:", client.ingest_events("axiom-py", events))
plain = json.dumps(events).encode()
try:
    print("plain:", client.ingest("axiom-py-plain", plain, ContentType.JSON, ContentEncoding.IDENTITY))
except Exception as error:
    print("plain:", type(error).__name__, error)
print("edge:", Client(token=token, edge_url=url).ingest_events("axiom-py-edge", events))

logger = logging.getLogger("clients")
logger.setLevel(logging.INFO)
handler = AxiomHandler(client, "axiom-py-logging")
logger.addHandler(handler)
for n in (1, 2, 3):
    logger.info("hello", extra={"n": n})
handler.flush()
