import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLogger } from '../../base/log.js';
import { loadServices } from '../../proto/load.js';
import type { CriRuntime } from '../contract/runtime.js';
import { criError } from '../contract/cri-error.js';
import { serveCri, type CriServer } from './serve-cri.js';

const dayMs = 86_400_000;
const { signal } = new AbortController();
let folder: string;
let server: CriServer;

/** Answers after a moment, so that a deadline has its chance. */
const runtime = {
  runtime: {
    version: async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return { runtimeName: 'slow' };
    },
    status: async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      throw criError('deadline-exceeded', 'Deadline exceeded by the runtime');
    },
  },
} as unknown as CriRuntime;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'brt-serve-'));
  server = await serveCri(runtime, { socketPath: join(folder, 's') }, { log: silentLogger }, signal);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function call(method: 'Version' | 'Status', deadlineMs: number): Promise<unknown> {
  const Service = loadServices('cri-v1')('runtime.v1.RuntimeService');
  const client = new Service(`unix:${join(folder, 's')}`, credentials.createInsecure());
  const definition = Service.service[method];
  if (definition === undefined) throw new Error(`no ${method}`);
  const { path, requestSerialize, responseDeserialize } = definition;
  const deadline = Date.now() + deadlineMs;
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, { deadline }, (err, value) =>
        err ? reject(err) : resolve(value),
      );
    });
  } finally {
    client.close();
  }
}

test.each([1, 24, 25, 35, 49, 3650])('a call with a deadline of %s days is answered', async (days) => {
  expect(await call('Version', days * dayMs)).toMatchObject({ runtimeName: 'slow' });
});

test('a deadline in reach ends the call; what the runtime says of its own goes through, however long the deadline', async () => {
  await expect(call('Version', 10)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await expect(call('Status', 35 * dayMs)).rejects.toMatchObject({ details: 'Deadline exceeded by the runtime' });
});
