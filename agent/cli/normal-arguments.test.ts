import { expect, test } from 'vitest';
import { commandFirst, plainOptions } from './normal-arguments.js';
import { buildProgram } from './program.js';

const nothing = (): Promise<void> => Promise.resolve();

test.each<[string[], string[]]>([
  [
    ['get', 'pods'],
    ['get', 'pods'],
  ],
  [
    ['-n', 'shop', 'get', 'pods'],
    ['get', '-n', 'shop', 'pods'],
  ],
  [
    ['--namespace=shop', '--socket', '/x', 'logs', 'web'],
    ['logs', '--namespace=shop', '--socket', '/x', 'web'],
  ],
  [
    ['-nshop', 'get', 'pods'],
    ['get', '-nshop', 'pods'],
  ],
  [
    ['-n', 'shop'],
    ['-n', 'shop'],
  ],
  [['--version'], ['--version']],
  [[], []],
])('%j before the command', (args, expected) => expect(commandFirst(args)).toEqual(expected));

test.each<[string[], string[]]>([
  [
    ['logs', 'web', '--follow=true', '--timestamps=false'],
    ['logs', 'web', '--follow'],
  ],
  [
    ['get', 'pods', '-o=json', '-l=app=web', '-w=true', '--no-headers=true'],
    ['get', 'pods', '-o', 'json', '-l', 'app=web', '-w', '--no-headers'],
  ],
  [
    ['delete', 'pod', 'web', '--wait=false', '--force=true'],
    ['delete', 'pod', 'web', '--wait=false', '--force'],
  ],
  [
    ['exec', '-it=true', 'web', '--', 'x', '--follow=true', '-o=json'],
    ['exec', '-it=true', 'web', '--', 'x', '--follow=true', '-o=json'],
  ],
  [
    ['exec', '-it', 'web', 'sh', '-c', 'ls -l'],
    ['exec', '-it', 'web', '--', 'sh', '-c', 'ls -l'],
  ],
  [
    ['exec', 'web', '-c', 'reader', '-n=shop', 'ls', '-la'],
    ['exec', 'web', '-c', 'reader', '-n', 'shop', '--', 'ls', '-la'],
  ],
  [
    ['exec', 'web'],
    ['exec', 'web'],
  ],
  [
    ['exec', '-itc', 'reader', 'web', 'sh'],
    ['exec', '-itc', 'reader', 'web', '--', 'sh'],
  ],
  [
    ['images', 'rm', '--force=true', 'a'],
    ['images', 'rm', '--force', 'a'],
  ],
  [
    ['get', 'pods', '--selector=a=true'],
    ['get', 'pods', '--selector=a=true'],
  ],
])('%j', (args, expected) => {
  const { program } = buildProgram({ client: nothing, alone: nothing }, args[0]);
  expect(plainOptions(program, args)).toEqual(expected);
});
