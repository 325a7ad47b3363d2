import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { login, TestRegistry } from '../../support/test-registry.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { BerthWorld } from './berth-world.js';

test('an image of a registry that wants a login: pulled with progress, refused without, the password nowhere', async () => {
  await using registry = await TestRegistry.open({ auth: true });
  await using world = await BerthWorld.open();
  const path = join(world.dir, 'image.tar');
  await makeBusyboxImage({ path, reference: 'localhost/test/pulled:1' });
  await registry.push(`oci-archive:${path}`, 'test/pulled:1');
  const reference = `${registry.host}/test/pulled:1`;
  await world.start({ flags: ['--insecure-registry', registry.host] });
  const pull = async (password?: string) =>
    await world.berth(
      ['images', 'pull', reference, ...(password === undefined ? [] : ['-u', login.username, '--password-stdin'])],
      { input: password === undefined ? '' : `${password}\n` },
    );

  expect(await pull()).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/unauthorized|authentication required/),
  });
  const wrong = await pull('wrong word');
  expect([wrong.code, wrong.stdout]).toEqual([1, '']);
  expect(wrong.stderr).not.toContain('wrong word');
  const right = await pull(login.password);
  expect(right).toMatchObject({ code: 0, stdout: expect.stringMatching(`^${reference}  sha256:\\w{64}  \\S+MiB\\n$`) });
  // One line for each word of progress, without a terminal to write over.
  expect(right.stderr.split('\n').length).toBeGreaterThan(1);
  expect(await world.ok('images', '-o', 'name')).toBe(`${reference}\n`);

  const trace = await world.ok('trace', '-v', '--last', '100');
  // What was called is written down after a while, and at the end.
  await world.stop();
  const records = [
    trace,
    await readFile(join(world.dir, 'state', 'calls', 'calls.jsonl'), 'utf8'),
    world.agentLog,
  ].join('\n');
  expect(records).toContain('skopeo');
  for (const secret of [login.password, JSON.stringify(login.password).slice(1, -1), 'wrong word'])
    expect(records).not.toContain(secret);
});
