import { expect, test } from 'vitest';
import { humanLogger } from './human-logger.js';

test('one line each, with fields that can be told apart, below the level nothing', () => {
  const lines: string[] = [];
  const log = humanLogger('info', (line) => lines.push(line)).child({ podUid: 'u-1' });
  log.debug({}, 'not said');
  log.info({ n: 2, none: undefined, path: '/a/b' }, 'hello');
  log.error({ err: new Error('two words', { cause: new Error('why') }), list: [1] }, 'oh');
  expect(lines.map((line) => line.slice(9))).toEqual([
    'info   hello  podUid=u-1 n=2 path=/a/b\n',
    'error  oh  podUid=u-1 err="two words: why" list=[1]\n',
  ]);
});
