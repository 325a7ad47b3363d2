import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readCredentialProviders } from './credential-providers.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'berth-providers-'));
  await mkdir(join(dir, 'bin'));
  for (const name of ['ecr', 'gcr']) {
    await writeFile(join(dir, 'bin', name), '#!/bin/sh\n');
    await chmod(join(dir, 'bin', name), 0o755);
  }
});
afterEach(() => rm(dir, { recursive: true }));

async function read(text: string, path = join(dir, 'config.yaml')) {
  if (text !== '') await writeFile(path, text);
  const problems: string[] = [];
  const providers = await readCredentialProviders(path, join(dir, 'bin'), (problem) => {
    problems.push(`${problem.path}: ${problem.message}`.replaceAll(dir, '.'));
  });
  return { providers, problems };
}

const head = 'apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n';
const good = (name: string): string => `- name: ${name}
  apiVersion: credentialprovider.kubelet.k8s.io/v1
  matchImages: ["*.dkr.ecr.*.amazonaws.com", "r.example:5000/team"]
  defaultCacheDuration: 12h
  args: [get]
  env: [{ name: REGION, value: eu }]
  tokenAttributes:
    serviceAccountTokenAudience: registry
    cacheType: Token
    requireServiceAccount: true
    requiredServiceAccountAnnotationKeys: [team]
`;

test('a file is read as a kubelet reads it', async () => {
  expect(await read(head + good('ecr'))).toEqual({
    problems: [],
    providers: [
      {
        name: 'ecr',
        program: join(dir, 'bin', 'ecr'),
        matchImages: ['*.dkr.ecr.*.amazonaws.com', 'r.example:5000/team'],
        defaultCacheMs: 12 * 3_600_000,
        apiVersion: 'credentialprovider.kubelet.k8s.io/v1',
        args: ['get'],
        env: { REGION: 'eu' },
        token: {
          audience: 'registry',
          requireServiceAccount: true,
          cacheType: 'Token',
          requiredAnnotations: ['team'],
          optionalAnnotations: [],
        },
      },
    ],
  });
});

test('of a folder all files are joined, and a name in two of them is told', async () => {
  const folder = join(dir, 'conf');
  await mkdir(folder);
  await writeFile(join(folder, '2.yml'), head + good('gcr'));
  await writeFile(
    join(folder, '1.json'),
    JSON.stringify({
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'CredentialProviderConfig',
      providers: [
        {
          name: 'ecr',
          apiVersion: 'credentialprovider.kubelet.k8s.io/v1beta1',
          matchImages: ['a'],
          defaultCacheDuration: '0s',
        },
      ],
    }),
  );
  await writeFile(join(folder, 'notes.txt'), 'nonsense: [');
  const { providers, problems } = await read('', folder);
  expect([providers.map(({ name }) => name), problems]).toEqual([['ecr', 'gcr'], []]);
  await writeFile(join(folder, '3.yaml'), head + good('ecr'));
  expect((await read('', folder)).problems).toEqual([
    './conf/3.yaml: providers[0].name: there are two providers "ecr"',
  ]);
});

test.each([
  ['kind: [', 'config.yaml: Flow sequence'],
  ['[]', 'config.yaml: expected an object'],
  ['apiVersion: v1\nkind: Pod\n', 'config.yaml: apiVersion: expected one of'],
  [head.replace('providers:\n', ''), 'config.yaml: providers: must name at least one'],
  [head + good('../sh'), 'providers[0].name: must be the name of a program'],
  [head + good('absent'), 'providers[0].name: program ./bin/absent is not there'],
  [head + good('ecr').replace('12h', 'long'), 'providers[0].defaultCacheDuration: expected a duration'],
  [
    head + good('ecr').replace('["*.dkr.ecr.*.amazonaws.com", "r.example:5000/team"]', '["https://x"]'),
    'providers[0].matchImages[0]: expected a pattern',
  ],
  [head + good('ecr').replace('k8s.io/v1\n', 'k8s.io/v1beta1\n'), 'providers[0].tokenAttributes: needs apiVersion'],
  [head + good('ecr').replace('    cacheType: Token\n', ''), 'providers[0].tokenAttributes.cacheType: is missing'],
  [
    head + good('ecr').replace('Attributes:', 'Attribute:'),
    'providers[0].tokenAttribute: unknown field; did you mean "tokenAttributes"?',
  ],
])('%j is told with its place', async (text, message) => {
  const { providers, problems } = await read(text);
  expect(problems.join('\n')).toContain(message);
  expect(providers).toEqual([]);
});

test('one flag without the other, and a path that is not there', async () => {
  const problems: unknown[] = [];
  await readCredentialProviders('x', undefined, (problem) => problems.push(problem));
  await readCredentialProviders(join(dir, 'no'), dir, (problem) => problems.push(problem));
  expect(problems).toEqual([
    { path: '--image-credential-provider-bin-dir', message: 'is needed with --image-credential-provider-config' },
    { path: join(dir, 'no'), message: 'cannot be read (ENOENT)' },
  ]);
});
