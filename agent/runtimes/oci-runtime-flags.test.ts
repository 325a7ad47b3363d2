import { expect, test } from 'vitest';
import { parseOciRuntimes } from './oci-runtime-flags.js';

function parsed(...texts: string[]): { programs: Record<string, string>; problems: string[] } {
  const problems: string[] = [];
  const programs = parseOciRuntimes(texts, ({ path, message }) => problems.push(`${path}: ${message}`));
  return { programs, problems };
}

test('programs by their handlers', () => {
  expect(parsed('kata=/opt/kata/bin/kata-runtime', 'crun=/opt/a=b/crun')).toEqual({
    programs: { kata: '/opt/kata/bin/kata-runtime', crun: '/opt/a=b/crun' },
    problems: [],
  });
});

test.each([
  ['kata', '--oci-runtime: "kata": expected NAME=PATH, where PATH is absolute'],
  ['kata=runc', '--oci-runtime: "kata=runc": expected NAME=PATH, where PATH is absolute'],
  [
    '=/usr/bin/crun',
    '--oci-runtime: "=/usr/bin/crun": expected NAME=PATH, where NAME is the handler of a RuntimeClass',
  ],
  ['Kata=/bin/k', '--oci-runtime: "Kata=/bin/k": expected NAME=PATH, where NAME is the handler of a RuntimeClass'],
])('%s is refused', (text, problem) => {
  expect(parsed(text)).toEqual({ programs: {}, problems: [problem] });
});

test('a handler that is given twice is refused', () => {
  expect(parsed('a=/one', 'a=/two').problems).toEqual(['--oci-runtime: "a=/two": the handler a is given twice']);
});
