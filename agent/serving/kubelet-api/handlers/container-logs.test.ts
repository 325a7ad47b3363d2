import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Agent, AgentPod } from '../../../agent.js';
import type { PodUid } from '../../../api/index.js';
import { defaultConfig } from '../../../config/agent-config.js';
import { containerLogs } from './container-logs.js';
import type { Host } from './find-pod.js';

let podLogsDir: string;
beforeEach(async () => {
  podLogsDir = await mkdtemp(join(tmpdir(), 'berth-logs-'));
});
afterEach(() => rm(podLogsDir, { recursive: true }));

/** The log of a pod that was evicted: the runtime has nothing of it any more. */
async function logOfEvicted(): Promise<string> {
  const uid = 'u1' as PodUid;
  const terminated = { exitCode: 137, containerID: 'berth://c1' };
  const status = { name: 'main', image: 'i', imageID: '', ready: false, restartCount: 0, state: { terminated } };
  const evicted: AgentPod = {
    uid,
    desired: undefined,
    pod: { metadata: { name: 'web', namespace: 'default', uid }, spec: { containers: [{ name: 'main' }] } },
    status: { phase: 'Failed', containerStatuses: [status] },
    observed: { sandboxes: [], containers: [] },
    waits: [],
    progress: {},
  };
  const base = defaultConfig('node-1', 2);
  const host: Host = {
    config: { ...base, paths: { ...base.paths, podLogsDir } },
    runtime: {} as Agent['runtime'],
    pods: () => [evicted],
    pod: () => evicted,
  };
  const response = Object.assign(new PassThrough(), { writeHead: () => {}, flushHeaders: () => {} });
  const params = { namespace: 'default', pod: 'web', container: 'main' };
  const call = { method: 'GET', params, query: new URLSearchParams(), request: {} as IncomingMessage };
  const clock = { now: () => 0, sleep: () => Promise.resolve() };
  const never = new AbortController().signal;
  await containerLogs(host, clock)(call, response as unknown as ServerResponse, never);
  return await text(response);
}

test('a log that was removed with its container is not shown as an empty one', async () => {
  await expect(logOfEvicted()).rejects.toMatchObject({
    message: 'unable to retrieve container logs for berth://c1',
    failure: { status: 400 },
  });
});

test('a log that outlives its container is shown', async () => {
  await mkdir(join(podLogsDir, 'default_web_u1', 'main'), { recursive: true });
  await writeFile(join(podLogsDir, 'default_web_u1', 'main', '0.log'), '2026-01-02T03:04:05Z stdout F last words\n');
  expect(await logOfEvicted()).toBe('last words\n');
});
