// Joins the compiled modules of the `berth` program into a few files under dist/bin. An agent of 500 small modules spends half of its start
// on finding and linking them. What is loaded on demand stays apart, packages stay packages, and nothing is minified.
import { rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { rolldown } from 'rolldown';
import { root } from './prepare.mjs';

const dir = join(root, 'dist', 'bin');
await rm(dir, { recursive: true, force: true });
const bundle = await rolldown({
  input: { berth: join(root, 'dist/agent/cli/main.js') },
  platform: 'node',
  external: (id) => !id.startsWith('.') && !isAbsolute(id),
});
await bundle.write({ dir, format: 'esm', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' });
await bundle.close();
