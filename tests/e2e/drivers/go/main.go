// Command drivers does through a tunnel what an application does with Go's drivers: drivers DSN SCHEME, the DSN as
// bsql dsn --format go prints it.
package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"hash"
	"log"
	"math/rand/v2"
	"os"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
	mssql "github.com/microsoft/go-mssqldb"
)

const (
	pool = 5
	rows = 5000
)

// What the two databases say differently.
type dialect struct {
	user, session, sleep, isAsleep, temporary, insert string
	// Whether an error says that a statement was cancelled.
	isCancelled func(error) bool
}

var postgres = dialect{
	user:      "ada@acme.example",
	session:   "select pg_backend_pid()",
	sleep:     "select pg_sleep(60)",
	isAsleep:  "select count(*) from pg_stat_activity where pid = $1 and state = 'active' and query like '%sleep%'",
	temporary: "create temporary table bulk (id integer primary key, line text, bytes bytea)",
	insert:    "insert into bulk values ($1, $2, $3)",
	isCancelled: func(err error) bool {
		var refusal *pgconn.PgError
		return errors.As(err, &refusal) && refusal.Code == "57014"
	},
}

var mySQL = dialect{
	user:      "ada@%",
	session:   "select connection_id()",
	sleep:     "select sleep(60)",
	isAsleep:  "select count(*) from information_schema.processlist where id = ? and info like '%sleep%'",
	temporary: "create temporary table bulk (id integer primary key, line text, bytes longblob) character set utf8mb4",
	insert:    "insert into bulk values (?, ?, ?)",
	// This driver hangs up instead of asking the server.
	isCancelled: func(err error) bool { return errors.Is(err, context.Canceled) },
}

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(dsn, scheme string) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	switch scheme {
	case "postgres":
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return err
		}
		// A cancelled context becomes a cancel request, and the connection stays.
		config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 30 * time.Second}
		}
		return application(ctx, stdlib.OpenDB(*config), postgres)
	case "mysql":
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			return err
		}
		_ = mysql.SetLogger(log.New(os.Stderr, "mysql: ", 0))
		return application(ctx, db, mySQL)
	case "sqlserver":
		return nobody(ctx, dsn)
	}
	return fmt.Errorf("no driver for %s", scheme)
}

func application(ctx context.Context, db *sql.DB, speak dialect) error {
	defer db.Close()
	db.SetMaxOpenConns(pool)
	if err := manyAtOnce(ctx, db, speak); err != nil {
		return fmt.Errorf("many at once: %w", err)
	}
	if err := cancel(ctx, db, speak); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	if err := bulk(ctx, db, speak); err != nil {
		return fmt.Errorf("bulk: %w", err)
	}
	return nil
}

func manyAtOnce(ctx context.Context, db *sql.DB, speak dialect) error {
	sessions := map[int64]bool{}
	for range pool {
		conn, session, err := open(ctx, db, speak)
		if err != nil {
			return err
		}
		defer conn.Close()
		sessions[session] = true
		if err := isAda(ctx, conn, speak); err != nil {
			return err
		}
	}
	if len(sessions) != pool {
		return fmt.Errorf("%d sessions instead of %d", len(sessions), pool)
	}
	return nil
}

// open takes a connection of the pool, and asks for the number of its session.
func open(ctx context.Context, db *sql.DB, speak dialect) (*sql.Conn, int64, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, 0, err
	}
	var session int64
	if err := conn.QueryRowContext(ctx, speak.session).Scan(&session); err != nil {
		conn.Close()
		return nil, 0, err
	}
	return conn, session, nil
}

type queryer interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

func isAda(ctx context.Context, db queryer, speak dialect) error {
	var user string
	if err := db.QueryRowContext(ctx, "select current_user").Scan(&user); err != nil {
		return err
	}
	if user != speak.user {
		return fmt.Errorf("%q is signed in", user)
	}
	return nil
}

func cancel(ctx context.Context, db *sql.DB, speak dialect) error {
	conn, session, err := open(ctx, db, speak)
	if err != nil {
		return err
	}
	defer conn.Close()
	asleep, wake := context.WithCancel(ctx)
	defer wake()
	ended := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(asleep, speak.sleep)
		ended <- err
	}()
	for count := 0; count == 0; {
		if err := db.QueryRowContext(ctx, speak.isAsleep, session).Scan(&count); err != nil {
			return err
		}
	}
	wake()
	if err := <-ended; !speak.isCancelled(err) {
		return fmt.Errorf("not cancelled: %w", err)
	}
	return isAda(ctx, db, speak)
}

// Rows both ways, compared by their hashes. A temporary table is one connection's.
func bulk(ctx context.Context, db *sql.DB, speak dialect) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, speak.temporary); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, speak.insert)
	if err != nil {
		return err
	}
	sent, received := sha256.New(), sha256.New()
	random := rand.New(rand.NewPCG(5, 5))
	for id := range rows {
		line := fmt.Sprintf("Zeile %d — 'ключ' \\ 🔑", id)
		bytes := make([]byte, 1+random.IntN(400))
		for at := range bytes {
			bytes[at] = byte(random.Uint32())
		}
		add(sent, id, line, bytes)
		if _, err := insert.ExecContext(ctx, id, line, bytes); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	found, err := conn.QueryContext(ctx, "select id, line, bytes from bulk order by id")
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var (
			id    int
			line  string
			bytes []byte
		)
		if err := found.Scan(&id, &line, &bytes); err != nil {
			return err
		}
		add(received, id, line, bytes)
	}
	if err := found.Err(); err != nil {
		return err
	}
	if [sha256.Size]byte(sent.Sum(nil)) != [sha256.Size]byte(received.Sum(nil)) {
		return errors.New("what came back is not what was sent")
	}
	return nil
}

func add(to hash.Hash, id int, line string, bytes []byte) {
	fmt.Fprintf(to, "%d\n%s\n", id, line)
	to.Write(bytes)
}

// The sandbox has nobody behind its instance of SQL Server, who answers each request with the same error.
func nobody(ctx context.Context, dsn string) error {
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, "select 1")
	var refusal mssql.Error
	if !errors.As(err, &refusal) {
		return fmt.Errorf("not an answer: %w", err)
	}
	fmt.Println(refusal.Number, refusal.Message)
	return nil
}
