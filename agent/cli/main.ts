#!/usr/bin/env node
import { commandFirst, plainOptions } from './normal-arguments.js';
import { buildProgram } from './program.js';
import { runAlone, runClient } from './run-command.js';

// A reader that has had enough (`| head`) is no fault.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code === 'EPIPE') process.exit(0);
  process.stderr.write(`berth: write standard output: ${err.message}\n`);
  process.exit(1);
});

const args = commandFirst(process.argv.slice(2));
const { program } = buildProgram({ client: runClient, alone: runAlone }, args[0]);
await program.parseAsync(plainOptions(program, args), { from: 'user' });
