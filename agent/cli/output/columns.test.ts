import { expect, test } from 'vitest';
import { customColumns } from './custom-columns.js';
import { parseFieldSelector } from './field-selector.js';

const web = { metadata: { name: 'web' }, spec: { containers: [{ image: 'a' }, { image: 'b' }] }, status: { n: 0 } };

test('columns by path; what is not there is <none>', () => {
  expect(
    customColumns('NAME:.metadata.name,IMAGES:.spec.containers[*].image,N:status.n,IP:.status.podIP', [web]),
  ).toEqual({
    header: ['NAME', 'IMAGES', 'N', 'IP'],
    rows: [['web', 'a,b', '0', '<none>']],
  });
  expect(() => customColumns('NAME', [web])).toThrow('is not HEADING:PATH');
});

test.each([
  ['metadata.name=web', true],
  ['metadata.name==web,status.n!=1', true],
  ['metadata.name!=web', false],
  ['status.phase=', true],
  ['', true],
])('%j: %s', (text, expected) => expect(parseFieldSelector(text)(web)).toBe(expected));

test('a selector that is none is refused in words', () => {
  expect(() => parseFieldSelector('metadata.name')).toThrow('read the field selector');
});
