#!/usr/bin/env node
import { buildProgram } from './program.js';
import { runAlone, runClient } from './run-command.js';

// A reader that has had enough (`| head`) is no fault.
process.stdout.on('error', (err: NodeJS.ErrnoException) => {
  if (err.code === 'EPIPE') process.exit(0);
  throw err;
});

const { program } = buildProgram({ client: runClient, alone: runAlone }, process.argv[2]);
await program.parseAsync();
