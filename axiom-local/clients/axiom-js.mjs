// Sends three events by each of @axiomhq/js's ways to a dataset named for it.

import { Axiom, AxiomWithoutBatching, ContentEncoding, ContentType } from '@axiomhq/js';

const { ENDPOINT: url, TOKEN: token } = process.env;
const events = [1, 2, 3].map((n) => ({
  _time: '2026-01-01T00:00:00.000000000Z',
  n,
  nested: { deep: 'x' },
}));
const onError = (error) => {
  console.error(error);
  process.exitCode = 1;
};

const batching = new Axiom({ token, url, onError });
batching.ingest('axiom-js', events);
await batching.flush();

const direct = new AxiomWithoutBatching({ token, url, onError });
const plain = await direct.ingestRaw(
  'axiom-js-plain',
  JSON.stringify(events),
  ContentType.JSON,
  ContentEncoding.Identity,
);
console.log('plain:', plain);

const edge = new AxiomWithoutBatching({ token, edgeUrl: url, onError });
console.log('edge:', await edge.ingest('axiom-js-edge', events));
