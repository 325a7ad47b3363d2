import { expect, test } from 'vitest';
import { renderJsonPath } from './json-path.js';

const root = {
  items: [
    { metadata: { name: 'a', annotations: { 'x.io/y': '1' } }, status: { podIP: '10.0.0.1', n: 3 } },
    { metadata: { name: 'b' }, status: { podIP: '10.0.0.2' } },
  ],
};

test.each([
  ['{.items[*].metadata.name}', 'a b'],
  ['{.items[0].status.podIP}', '10.0.0.1'],
  ['{.items[-1].metadata.name}', 'b'],
  ['.items[0].status.n', '3'],
  ["{.items[0].metadata.annotations['x.io/y']}", '1'],
  ['{.items[0].metadata.annotations.x\\.io/y}', '1'],
  ['{range .items[*]}{.metadata.name}{"\\t"}{.status.podIP}{"\\n"}{end}', 'a\t10.0.0.1\nb\t10.0.0.2\n'],
  ['ip={.items[1].status.podIP};', 'ip=10.0.0.2;'],
  ['{.nothing.here}', ''],
  ['{.items[1].status}', '{"podIP":"10.0.0.2"}'],
  ['{.items[?(@.metadata.name=="b")].status.podIP}', '10.0.0.2'],
  ["{.items[?(@.metadata.name!='b')].metadata.name}", 'a'],
  ['{.items[?(@.status.n>2)].metadata.name}', 'a'],
  ['{.items[?(@.status.n)].metadata.name}', 'a'],
  ['{.items[0:1].metadata.name}', 'a'],
  ['{.items[1:].metadata.name}', 'b'],
  ['{..podIP}', '10.0.0.1 10.0.0.2'],
  ['{.items[0].metadata.name}{"}"}', 'a}'],
  ['items[0].metadata.name', 'a'],
])('%s', (template, expected) => expect(renderJsonPath(template, root)).toBe(expected));

test.each(['{.items[?(a)]}', '{range .items[*]}x', '{items}', '{.items[0', '{.items[0]', '{.items[x]}'])(
  '%s is refused in words',
  (template) => {
    expect(() => renderJsonPath(template, root)).toThrow('read the jsonpath');
  },
);
