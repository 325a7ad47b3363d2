import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { answers, claimSocket } from './claim-socket.js';

let dir: string;
const servers: Server[] = [];
const server = (): Server => {
  const made = createServer();
  servers.push(made);
  return made;
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-socket-'));
});
afterEach(async () => {
  for (const each of servers.splice(0)) each.close();
  await rm(dir, { recursive: true });
});

test('only the owner may use the socket and see its folder', async () => {
  const path = join(dir, 'run', 'berth.sock');
  await claimSocket(server(), path);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(dir, 'run'))).mode & 0o777).toBe(0o700);
  expect(await answers(path)).toBe(true);
});

test('a socket whose agent was killed is replaced', async () => {
  const path = join(dir, 'berth.sock');
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.stdout.write('up'))`;
  const killed = spawn(process.execPath, ['-e', script]);
  await once(killed.stdout, 'data');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect((await stat(path)).isSocket()).toBe(true);
  await claimSocket(server(), path);
  expect(await answers(path)).toBe(true);
});

test('a second agent is refused and the first one keeps its socket', async () => {
  const path = join(dir, 'berth.sock');
  await claimSocket(server(), path);
  await expect(claimSocket(server(), path)).rejects.toThrow(
    expect.objectContaining({ message: expect.stringContaining('another berth agent'), failure: { code: 'in-use' } }),
  );
  expect(await answers(path)).toBe(true);
});

test('what is no socket is not removed', async () => {
  const path = join(dir, 'berth.sock');
  await writeFile(path, 'mine');
  await expect(claimSocket(server(), path)).rejects.toThrow('no socket stands there');
  expect(await readFile(path, 'utf8')).toBe('mine');
});

test('a folder others may write to is refused', async () => {
  await chmod(dir, 0o777);
  await expect(claimSocket(server(), join(dir, 'berth.sock'))).rejects.toThrow('others may write');
});
