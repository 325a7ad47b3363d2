import type { ServerResponse } from 'node:http';
import { expect, test } from 'vitest';
import { HttpError } from '../http-error.js';
import type { ApiCall, CallHandler } from './call.js';
import { flagsOf, flagz, statusz } from './z-pages.js';

const startedAt = Date.parse('2026-01-02T03:04:05Z');
const page = statusz({ startedAt, now: () => startedAt + 3_725_000 });

async function asked(handler: CallHandler, accept?: string): Promise<string> {
  let type = '';
  let text = '';
  const response = {
    writeHead: (_status: number, headers: Record<string, string>) => void (type = headers['content-type'] ?? ''),
    end: (body: string) => void (text = body),
  } as unknown as ServerResponse;
  const call = { method: 'GET', params: {}, query: new URLSearchParams(), request: { headers: { accept } } };
  try {
    await handler(call as unknown as ApiCall, response, new AbortController().signal);
  } catch (err) {
    if (err instanceof HttpError) return `${err.failure.status}`;
    throw err;
  }
  return `${type}\n${text}`;
}

test('statusz is text for people and an object for those who name it', async () => {
  for (const accept of [undefined, 'text/plain', '*/*', 'application/json, */*']) {
    const text = await asked(page, accept);
    expect(text).toContain('text/plain');
    expect(text).toContain('\nkubelet statusz\nWarning: ');
    expect(text).toContain('Up: 1 hr 02 min 05 sec\n');
    expect(text).toMatch(/Paths: .*\/healthz.*\/metrics/);
  }
  const [type, ...rest] = (await asked(page, 'application/json;as=Statusz;v=v1beta1;g=config.k8s.io')).split('\n');
  expect(type).toBe('application/json');
  expect(JSON.parse(rest.join(''))).toMatchObject({
    kind: 'Statusz',
    apiVersion: 'config.k8s.io/v1beta1',
    startTime: '2026-01-02T03:04:05Z',
    uptimeSeconds: 3725,
  });
  expect(await asked(page, 'application/json')).toBe('406');
  expect(await asked(page, 'application/json;as=Flagz;v=v1beta1;g=config.k8s.io')).toBe('406');
});

test('flagz tells flags however they were written', async () => {
  const argv = ['agent', '--config=/etc/a=b', '--node-name', 'n1', '--seccomp-default', '-v', '--root-dir', '/x'];
  expect(flagsOf(argv)).toEqual({ config: '/etc/a=b', 'node-name': 'n1', 'root-dir': '/x', 'seccomp-default': 'true' });
  expect(await asked(flagz(argv))).toContain('\nconfig=/etc/a=b\nnode-name=n1\n');
});
