// `npm start`: everything that is missing is installed, then the agent runs the sample manifests in the foreground.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { prepare, root } from './prepare.mjs';

prepare(['run', 'sample']);
const agent = spawn(process.execPath, [join(root, 'dist/bin/berth.js'), 'demo', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => agent.kill(signal));
agent.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
