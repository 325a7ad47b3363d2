import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cleanPath, LayerPaths } from './layer-paths.js';

describe('cleanPath', () => {
  test.each([
    ['./a/b', 'a/b'],
    ['/a//b/', 'a/b'],
    ['a/./b/../c', 'a/c'],
    ['.', ''],
    ['/', ''],
  ])('%s is %s', (path, clean) => expect(cleanPath(path, 'entry')).toBe(clean));

  test.each(['..', '../a', 'a/../../b', '/../a', './..'])('%s is refused', (path) => {
    expect(() => cleanPath(path, 'entry')).toThrow('leaves the image');
  });

  test('a zero byte is refused', () => expect(() => cleanPath('a\0b', 'entry')).toThrow('zero byte'));
});

describe('LayerPaths', () => {
  test('follows links of the layer inside the root only', async () => {
    const paths = new LayerPaths([]);
    paths.noteEntry('out', 'symlink', '../../../../etc');
    paths.noteEntry('abs', 'symlink', '/usr/lib');
    paths.noteEntry('usr', 'dir', '');
    paths.noteEntry('usr/lib', 'symlink', 'lib64');
    paths.noteEntry('again', 'hardlink', 'abs');
    expect(await paths.resolve('out/passwd')).toBe('etc/passwd');
    expect(await paths.resolve('abs/x')).toBe('usr/lib64/x');
    expect(await paths.resolve('again/x')).toBe('usr/lib64/x');
    expect(await paths.resolve('abs')).toBe('abs'); // the last part is the thing itself
    paths.noteEntry('abs', 'dir', '');
    expect(await paths.resolve('abs/x')).toBe('abs/x');
  });

  test('no set of links leads out or round for ever, and a second look changes nothing', async () => {
    const part = fc.constantFrom('a', 'b', 'c', '..', '.', '');
    const path = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
    const own = fc.constantFrom('a', 'b', 'c', 'a/b', 'b/c', 'a/b/c');
    const target = fc.tuple(fc.boolean(), path).map(([absolute, text]) => (absolute ? `/${text}` : text));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(own, target)),
        fc.constantFrom('a/x', 'a/b/x', 'b/c/x', 'a/b/c/x'),
        async (links, asked) => {
          const paths = new LayerPaths([]);
          for (const [at, to] of links) paths.noteEntry(at, 'symlink', to);
          const resolved = await paths.resolve(asked).catch(() => 'x');
          expect(resolved.split('/')).not.toContain('..');
          expect(resolved.endsWith('x')).toBe(true);
          expect(await paths.resolve(resolved)).toBe(resolved);
        },
      ),
    );
  });
});
