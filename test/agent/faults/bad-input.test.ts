import { readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ManifestReport } from '../../../agent/sources/pod-source.js';
import { makeBusyboxImage } from '../../setup/busybox-image.js';
import { container, podManifest } from '../pod-objects.js';
import { SharedAgent } from '../shared-agent.js';

const shared = SharedAgent.use();

const reports = async (): Promise<readonly ManifestReport[]> =>
  (await shared.run.ask({ do: 'manifests' })) as readonly ManifestReport[];

/** `file:line:column path: message` of everything that is wrong with one file. */
async function problemsOf(file: string): Promise<string[]> {
  const report = (await reports()).find((each) => each.file.endsWith(`/${file}`));
  return (report?.problems ?? []).map(
    ({ line, column, path, message }) => `${file}:${line}:${column} ${path}: ${message}`,
  );
}

async function untilProblem(file: string, words: RegExp): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!words.test((await problemsOf(file)).join('\n')) && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 50));
  expect((await problemsOf(file)).join('\n')).toMatch(words);
}

const manifest = (name: string): string => podManifest(name, { containers: [container('main')] });
const block = (name: string, image: string, more = ''): string =>
  `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\nspec:\n  containers:\n    - name: main\n${image}${more}`;

test('every manifest that is wrong is reported with its place; the others run, before, beside and after it', async () => {
  const { run, world } = shared;
  await world.write('a-good.yaml', manifest('before'));
  await run.untilReady('before');
  const wrong: readonly { file: string; text: string; says: RegExp }[] = [
    { file: 'yaml.yaml', text: 'apiVersion: v1\nkind: [Pod\n', says: /^yaml\.yaml:\d+:\d+ / },
    {
      file: 'field.yaml',
      text: block('field', '      image: x\n', '      imagee: y\n'),
      says: /^field\.yaml:9:7 spec\.containers\[0\]\.imagee: unknown field/,
    },
    {
      file: 'type.yaml',
      text: block('type', '      image: x\n', '      stdin: "perhaps"\n'),
      says: /^type\.yaml:9:\d+ spec\.containers\[0\]\.stdin: /,
    },
    {
      file: 'quantity.yaml',
      text: block('quantity', '      image: x\n', '      resources: { limits: { memory: 12 potatoes } }\n'),
      says: /^quantity\.yaml:9:\d+ spec\.containers\[0\]\.resources\.limits\.memory: /,
    },
    {
      file: 'image.yaml',
      text: block('image', ''),
      says: /^image\.yaml:\d+:\d+ spec\.containers\[0\]\.image: Required value/,
    },
    { file: 'nesting.yaml', text: '['.repeat(2_000_000), says: /nested deeper than/ },
    { file: 'blocks.yaml', text: '{a: '.repeat(500_000), says: /nested deeper than/ },
    { file: 'twice.yaml', text: manifest('before'), says: /[Dd]uplicate/ },
    { file: 'two-in-one.yaml', text: `${manifest('twin')}\n---\n${manifest('twin')}`, says: /Duplicate value/ },
  ];
  for (const { file, text } of wrong) await world.write(file, text);
  for (const { file, says } of wrong) await untilProblem(file, says);
  await world.write('z-good.yaml', manifest('after'));
  await run.untilReady('after');
  expect(run.pod('before')).toMatchObject({ ready: true, restarts: 0 });
  expect([...run.pods.values()].filter(({ name }) => name === 'before')).toHaveLength(1);
  for (const { name, uid } of run.pods.values()) expect([name, typeof uid]).toEqual([name, 'string']);

  // What is mended runs; the name is free for the second file once the first one goes.
  await world.write('quantity.yaml', manifest('quantity'));
  await run.untilReady('quantity');
  const first = run.pod('before').uid;
  await world.remove('a-good.yaml');
  await run.until('the second file gives the pod', () => {
    const pod = run.find('before');
    return pod?.ready === true && pod.uid !== first;
  });
  await untilProblem('twice.yaml', /^$/);
  for (const { file } of wrong) await world.remove(file);
  await world.remove('z-good.yaml');
  await run.until('all are gone', () => run.pods.size === 0);
});

test('an image archive cut short leaves nothing, and the pod waits for a whole one', async () => {
  const { run, world } = shared;
  const reference = 'localhost/test/late:1';
  const path = join(world.dir, 'late.tar');
  const images = join(world.config.paths.stateDir, 'images');
  const spec = { containers: [container('main', { image: reference, imagePullPolicy: 'Never' as const })] };
  await run.apply(podManifest('late', spec));
  const stuck = await run.untilPod('late', 'tells of the image', (pod) =>
    pod.waits.some((wait) => wait.includes('pull policy of Never')),
  );
  expect(stuck.waits[0]).toMatch(new RegExp(`^ensure-image image ${reference}: `));
  const before = (await readdir(join(images, 'l'))).length;
  for (const part of [0.2, 0.6, 0.97]) {
    await makeBusyboxImage({ path, reference });
    await truncate(path, Math.floor((await stat(path)).size * part));
    await expect(run.ask({ do: 'import', path, reference })).rejects.toThrow(/cut short|archive|tar|unexpected end/i);
    expect(await readdir(join(images, 'tmp'))).toEqual([]);
    expect(await readdir(join(images, 'l'))).toHaveLength(before);
  }
  expect(run.pod('late').phase).toBe('Pending');
  await makeBusyboxImage({ path, reference });
  await run.ask({ do: 'import', path, reference });
  await run.ask({ do: 'retry', uid: stuck.uid });
  await run.untilReady('late');
});
