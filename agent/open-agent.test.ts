import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../base/clock.js';
import { silentLogger } from '../base/log.js';
import { defaultConfig } from './config/agent-config.js';
import { claimFolders, claimsOf } from './node/claim-folders.js';
import { openAgent } from './open-agent.js';

const { signal } = new AbortController();

/** Whatever an agent does next, it first asks for the time. */
const clock = {
  ...systemClock,
  now(): never {
    throw new Error('the agent went on');
  },
};

test('an agent is not opened on folders that another one has, and touches nothing', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'berth-open-'));
  try {
    const { paths, ...base } = defaultConfig('here', 1);
    const config = {
      ...{ ...base, runtime: { ...base.runtime, endpoint: `unix://${dir}/nobody.sock` } },
      paths: { ...paths, rootDir: join(dir, 'root'), stateDir: join(dir, 'state'), runDir: join(dir, 'run') },
    };
    await using _first = await claimFolders(claimsOf(config), signal);
    await expect(openAgent(config, { log: silentLogger, clock }, signal)).rejects.toMatchObject({
      failure: { code: 'claimed', folder: join(dir, 'root') },
    });
    expect((await readdir(dir)).sort()).toEqual(['root', 'state']);
  } finally {
    await rm(dir, { recursive: true });
  }
});
