import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { AgentPod } from '../../../../agent/agent.js';
import { criError } from '../../../../cri/index.js';
import { ask, type Answer } from './https-client.js';
import { ServedApi, type SomeRuntime } from './served-api.js';
import { somePod } from './some-pod.js';
import { TestAuthority } from '../../../support/test-authority.js';

/** What the API itself decides, whatever the runtime behind it. */
describe('answers of the kubelet API around the runtime', () => {
  let authority: TestAuthority;
  let client: { cert: string; key: string };
  beforeAll(async () => {
    authority = await TestAuthority.make();
    client = await authority.issue('alice', ['admins']);
  });

  /** A pod `default/web` whose container `main` runs as `c1`. */
  const web = (): AgentPod => {
    const pod = somePod('web', { running: { startedAt: '2026-01-01T00:00:00Z' } });
    const container = { name: 'main', id: 'c1', state: 'running' };
    return { ...pod, observed: { sandboxes: [], containers: [container] } as unknown as AgentPod['observed'] };
  };
  const open = async (runtime: SomeRuntime, streamIdleMs = 0): Promise<ServedApi> => {
    const change = (settings: Parameters<NonNullable<Parameters<typeof ServedApi.open>[1]>>[0]) => ({
      ...settings,
      streamIdleMs,
    });
    const api = await ServedApi.open(authority.cert, change, [web()], runtime);
    api.users.rights.set('admins', ['*']);
    return api;
  };

  test('a checkpoint is made where a kubelet makes it, with the time-out that was asked for', async () => {
    const timeouts: unknown[] = [];
    await using api = await open({
      checkpointContainer: async ({ containerId, location = '', timeout }) => {
        timeouts.push(timeout);
        await writeFile(location, `of ${containerId}`);
        return {};
      },
    });
    const path = '/checkpoint/default/web/main?timeout=3&timeout=7';
    const answer = await ask({ port: api.port, method: 'POST', path, ...client });
    expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    const { items } = JSON.parse(answer.text) as { items: string[] };
    expect(items).toHaveLength(1);
    const stamp = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`;
    const folder = join(api.dir, 'root', 'checkpoints');
    expect(items[0]).toMatch(new RegExp(`^${folder}/checkpoint-web_default-main-${stamp}\\.tar$`));
    expect(await readFile(items[0] ?? '', 'utf8')).toBe('of c1');
    expect(timeouts.map(Number)).toEqual([7]);
  });

  test('a checkpoint of what is not there, or that the runtime refuses, has the status codes of a kubelet', async () => {
    const refuse = (): Promise<never> => Promise.reject(criError('unimplemented', 'criu is not installed'));
    await using api = await open({ checkpointContainer: refuse });
    const asked = async (path: string, method = 'POST'): Promise<string> => {
      const { status, text }: Answer = await ask({ port: api.port, method, path: `/checkpoint/${path}`, ...client });
      return `${status} ${text}`;
    };
    expect(await asked('default/other/main')).toBe('404 pod does not exist');
    expect(await asked('default/web/side')).toBe('404 container side does not exist');
    expect(await asked('default/web/main?timeout=soon')).toBe('404 cannot parse value of timeout parameter');
    expect(await asked('default/web/main')).toBe(
      '500 checkpointing of default/web/main failed (criu is not installed)',
    );
    expect(await asked('default/web/main', 'GET')).toMatch(/^405 /);
  });

  test('a stream on which nothing comes is ended with its command; one whose client pings is not', async () => {
    const ends: string[] = [];
    const exec: SomeRuntime['exec'] = async ({ cmd }, _io, signal) => {
      await once(signal, 'abort').catch(() => {});
      ends.push(cmd?.[0] ?? '');
      throw signal.reason as Error;
    };
    await using api = await open({ exec }, 1500);
    const start = async (command: string): Promise<{ socket: WebSocket; closed: Promise<unknown> }> => {
      const url = `wss://127.0.0.1:${api.port}/exec/default/web/main?command=${command}&output=1`;
      const socket = new WebSocket(url, ['v5.channel.k8s.io'], { ...client, rejectUnauthorized: false });
      socket.on('error', () => {});
      const closed = once(socket, 'close');
      await once(socket, 'open');
      return { socket, closed };
    };
    const lively = await start('lively');
    const pings = setInterval(() => lively.socket.ping(), 50);
    const began = Date.now();
    const silent = await start('silent');
    await silent.closed;
    expect(Date.now() - began).toBeGreaterThanOrEqual(1490);
    await expect.poll(() => ends, { timeout: 60_000 }).toEqual(['silent']);
    expect(lively.socket.readyState).toBe(WebSocket.OPEN);
    expect(api.log.text).toContain('a stream was idle and is ended');
    clearInterval(pings);
    await lively.closed;
    await expect.poll(() => ends, { timeout: 60_000 }).toEqual(['silent', 'lively']);
  });

  test('a command may be as long as one that a shell passes on', async () => {
    const words: (readonly string[] | undefined)[] = [];
    const exec: SomeRuntime['exec'] = ({ cmd }) => {
      words.push(cmd);
      return Promise.resolve({ exitCode: 0 });
    };
    await using api = await open({ exec });
    const command = ['sh', '-c', 'echo "a line";'.repeat(8000)];
    const query = new URLSearchParams({ output: '1' });
    for (const word of command) query.append('command', word);
    const url = `wss://127.0.0.1:${api.port}/exec/default/web/main?${query.toString()}`;
    const socket = new WebSocket(url, ['v5.channel.k8s.io'], { ...client, rejectUnauthorized: false });
    await once(socket, 'close');
    expect(words).toEqual([command]);
  });
});
