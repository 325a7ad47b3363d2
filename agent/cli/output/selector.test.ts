import { expect, test } from 'vitest';
import { parseSelector } from './selector.js';

const labels = { app: 'web', tier: 'front', 'example.com/x': '1' };

test.each([
  ['', true],
  ['app=web', true],
  ['app==web,tier=front', true],
  ['app!=web', false],
  ['other!=web', true],
  ['app', true],
  ['!app', false],
  ['!other', true],
  ['app in (a, web)', true],
  ['app notin (web),tier', false],
  ['other notin (web)', true],
  ['other in (web)', false],
  ['example.com/x=1', true],
  ['app=', false],
])('%s', (text, expected) => expect(parseSelector(text)(labels)).toBe(expected));

test.each(['a=b=c', 'a b', '=x'])('%s is refused', (text) => {
  expect(() => parseSelector(text)).toThrow('read the selector');
});
