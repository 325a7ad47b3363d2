import { expect, test } from 'vitest';
import { buildProgram } from '../program.js';
import { candidates, type Names } from './candidates.js';

const nothing = (): Promise<void> => Promise.resolve();
const { program, completes } = buildProgram({ client: nothing, alone: nothing });

const names: Names = {
  pods: (namespace) => Promise.resolve(namespace === 'shop' ? ['cart'] : ['app', 'web', 'web-2']),
  containers: (_namespace, pod) => Promise.resolve(pod === 'app' ? ['writer', 'reader'] : []),
  namespaces: () => Promise.resolve(['default', 'shop']),
  images: () => Promise.resolve(['localhost/a:1']),
};

const ask = (...words: string[]): Promise<string[]> => candidates(program, completes, words, names);

test.each<[string[], string[]]>([
  [['ge'], ['get']],
  [['get', 'conf'], ['configmaps']],
  [
    ['get', 'pods', 'we'],
    ['web', 'web-2'],
  ],
  [['get', 'pod/a'], ['pod/app']],
  [
    ['logs', ''],
    ['app', 'web', 'web-2'],
  ],
  [
    ['logs', 'app', ''],
    ['reader', 'writer'],
  ],
  [['logs', 'app', '-c', 'w'], ['writer']],
  [['logs', '-n', 'shop', ''], ['cart']],
  [['logs', '-n', 's'], ['shop']],
  [['-n', 'shop', 'logs', ''], ['cart']],
  [['-n', 's'], ['shop']],
  [['logs', '--namespace=shop', ''], ['cart']],
  [['logs', '--namespace=s'], ['--namespace=shop']],
  [['get', 'pods', '--output=ya'], ['--output=yaml']],
  [['apply', '--filename='], [':files']],
  [['why', 'web-'], ['web-2']],
  [['retry', 'web', 'a'], ['app']],
  [['get', '-o', 'w'], ['wide']],
  [['logs', '--fol'], ['--follow']],
  [['images', 'pu'], ['pull']],
  [['images', 'rm', 'local'], ['localhost/a:1']],
  [['images', 'import', ''], [':files']],
  [['apply', '-f', 'sam'], [':files']],
  [['exec', 'web', '--', '/bi'], [':files']],
  [['completion', 'f'], ['fish']],
  [['nonsense', 'x'], []],
])('%j', async (words, expected) => expect(await ask(...words)).toEqual(expected));

test('hidden commands stay hidden', async () => {
  expect((await ask('')).filter((name) => name.startsWith('_'))).toEqual([]);
});
