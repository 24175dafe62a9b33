from yardarm.cli import main

main()
