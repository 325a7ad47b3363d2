import { expect, test } from 'vitest';
import { errorsIn } from './runtime-words.js';

test.each([
  ['', ''],
  [
    'executable file `x` not found in $PATH: No such file or directory\n',
    'executable file `x` not found in $PATH: No such file or directory',
  ],
  [
    'time="2026-11-22T01:41:27Z" level=error msg="exec failed: exec: \\"x\\": executable file not found in $PATH"\n',
    'exec failed: exec: "x": executable file not found in $PATH',
  ],
  ['time="2026-11-22T01:41:27Z" level=warning msg="no such cgroup"\n', ''],
  ['time="2026-11-22T01:41:27Z" level=warning msg=one\ntime="2026-11-22T01:41:27Z" level=error msg=two\n', 'two'],
])('%j', (log, words) => {
  expect(errorsIn(log)).toBe(words);
});
