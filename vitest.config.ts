import { defineConfig } from 'vitest/config';

/** `using` is compiled down: Node 20 has the symbols and not the syntax. */
const oxc = { target: 'es2022' };

export default defineConfig({
  test: {
    projects: [
      {
        oxc,
        test: {
          name: 'unit',
          include: ['{base,proto,cri,cni,csi,deviceplugin,agent}/**/*.test.ts'],
          testTimeout: 10_000,
        },
      },
      {
        oxc,
        test: {
          name: 'real',
          include: ['test/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          globalSetup: [],
        },
      },
    ],
  },
});
