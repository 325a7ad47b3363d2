import { expect, test } from 'vitest';
import { NodeApiClient } from './node-api-client.js';

const call = { method: 'GET', path: '/v1/pods', query: { watch: true } } as const;

async function linesOf(signal: AbortSignal): Promise<unknown[]> {
  const lines: unknown[] = [];
  for await (const line of new NodeApiClient('/nonexistent/berth.sock').lines(call, signal)) lines.push(line);
  return lines;
}

test('lines end without a failure when nobody wants them any more, even before the agent answered', async () => {
  expect(await linesOf(AbortSignal.abort())).toEqual([]);
});

test('an agent that is not there is said', async () => {
  await expect(linesOf(new AbortController().signal)).rejects.toThrow(/no berth agent answers/);
});
