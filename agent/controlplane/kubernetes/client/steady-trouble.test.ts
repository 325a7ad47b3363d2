import { beforeEach, expect, test } from 'vitest';
import { SteadyTrouble } from './steady-trouble.js';

let now: number;
let trouble: SteadyTrouble;
beforeEach(() => {
  now = 1_000_000;
  trouble = new SteadyTrouble({ now: () => now });
});

test('trouble is over with the first success, and the newest words count', () => {
  expect(trouble.succeeded()).toBe(false);
  trouble.failed('no connection');
  now += 600_000;
  trouble.failed('no certificate');
  expect(trouble.words).toBe('no certificate');
  now += 600_000;
  expect(trouble.words, 'silence says nothing').toBe('no certificate');
  expect(trouble.succeeded()).toBe(true);
  expect(trouble.words).toBe('');
  expect(trouble.succeeded()).toBe(false);
});

test('trouble that comes and goes is told in the same words until it is silent, and is no news each time', () => {
  const seen: string[] = [];
  let news = 0;
  for (let round = 0; round < 60; round++) {
    now += 700;
    trouble.failed(round % 2 === 0 ? 'garbage for a' : 'garbage for b');
    seen.push(trouble.words);
    now += 700;
    if (trouble.succeeded()) news++;
    seen.push(trouble.words);
  }
  expect(news).toBe(2);
  expect(new Set(seen.slice(4))).toEqual(new Set(['garbage for a']));
  now += 19_000;
  expect(trouble.words).toBe('garbage for a');
  now += 1000;
  expect(trouble.words).toBe('');
});

test('where trouble comes and goes, one that stays is told in its own words, and its end is news', () => {
  for (let round = 0; round < 3; round++) {
    trouble.failed('garbage');
    trouble.succeeded();
  }
  for (let tries = 0; tries < 3; tries++) {
    now += 3000;
    trouble.failed('no connection');
  }
  expect(trouble.words).toBe('no connection');
  expect(trouble.succeeded()).toBe(true);
  expect(trouble.succeeded()).toBe(false);
});

test('words that are not heard any more give way to those that are', () => {
  for (let round = 0; round < 30; round++) {
    now += 500;
    trouble.failed(round < 6 ? 'the server starts' : 'garbage');
    trouble.succeeded();
    if (round === 20) expect(trouble.words).toBe('the server starts');
  }
  expect(trouble.words).toBe('garbage');
});

test('where success is not heard of, silence is enough', () => {
  const watch = new SteadyTrouble({ now: () => now }, { fades: true });
  watch.failed('garbage');
  now += 20_000;
  expect(watch.words).toBe('');
});
