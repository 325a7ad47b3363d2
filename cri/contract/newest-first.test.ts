import { expect, test } from 'vitest';
import { newestFirst } from './newest-first.js';

test('the newest comes first; of two made in the same moment, the later attempt', () => {
  const status = (id: string, createdAt: number, attempt?: number) => ({
    ...{ id, createdAt },
    metadata: { name: 'main', ...(attempt !== undefined && { attempt }) },
  });
  const sorted = newestFirst([
    status('first', 5),
    status('other', 3, 7),
    status('third', 5, 2),
    status('second', 5, 1),
  ]);
  expect(sorted.map(({ id }) => id)).toEqual(['third', 'second', 'first', 'other']);
});
